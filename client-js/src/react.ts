/** A React hook around a queue. React itself is the app's. */
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { ChangeEvent, DragEvent, InputHTMLAttributes } from "react";
import type { PutgateError } from "./errors.js";
import type { Client, CommittedFile, Progress, Queue, QueueOptions, Slot, State, Upload, Waiting } from "./types.js";

/** What to upload to, and what to do with what came of it. Another client, slot or ref begins another list. */
export interface UseUploadOptions extends Omit<QueueOptions, "signal" | "onProgress"> {
  client: Client;
  onCommitted?: (file: CommittedFile, upload: Upload) => void;
}

/** An upload as it was when the component was rendered. */
export interface Item {
  id: string;
  file: Blob;
  name: string;
  size: number;
  type: string;
  state: State;
  waitingFor: Waiting | null;
  paused: boolean;
  ended: boolean;
  progress: Progress;
  result: CommittedFile | null;
  error: PutgateError | null;
  /** For `pause()`, `resume()` and the rest. */
  upload: Upload;
}

/** What `useUpload` answers. The functions stay the same from render to render. */
export interface UseUpload {
  items: readonly Item[];
  /** Of all items that are not rejected, failed or cancelled. */
  progress: Progress;
  /** The slot's policy, once it is there. */
  slot: Slot | null;
  /** Whether files are being dragged over the element that has `getDropProps()`. */
  dragging: boolean;
  add(files: Iterable<Blob>): Upload[];
  /** Begins what `autoStart: false` held back. */
  start(): void;
  /** Cancels one, or all. */
  cancel(id?: string): void;
  /** Tries one again, or all that failed. */
  retry(id?: string): void;
  /** Takes one off the list. */
  remove(id: string): void;
  getInputProps(): InputHTMLAttributes<HTMLInputElement>;
  getDropProps(): DropProps;
  queue: Queue;
}

/** Props of the element that files are dropped on. */
export interface DropProps {
  onDragEnter(event: DragEvent): void;
  onDragOver(event: DragEvent): void;
  onDragLeave(event: DragEvent): void;
  onDrop(event: DragEvent): void;
}

interface Snapshot {
  items: readonly Item[];
  progress: Progress;
}

/** A queue, what React sees of it, and whether it is still the one for these options. */
interface Held {
  client: Client;
  slot: string;
  ref: string | undefined;
  queue: Queue;
  subscribe: (changed: () => void) => () => void;
  snapshot: () => Snapshot;
}

/**
 * Uploads to a slot, as state. Uploads go on when the component is unmounted; `cancel()` ends
 * them. On a server it renders an empty list.
 */
export function useUpload({ client, onCommitted, ...options }: UseUploadOptions): UseUpload {
  const { slot: name, ref } = options;
  const [held, setHeld] = useState(() => hold(client, options));
  let current = held;
  if (held.client !== client || held.slot !== name || held.ref !== ref) {
    current = hold(client, options);
    setHeld(current);
  }
  const { queue, subscribe, snapshot } = current;
  const { items, progress } = useSyncExternalStore(subscribe, snapshot, snapshot);

  const [slot, setSlot] = useState<Slot | null>(null);
  useEffect(() => {
    let alive = true;
    setSlot(null);
    client.slot(name, ref).then((slot) => alive && setSlot(slot), () => {});
    return () => {
      alive = false;
    };
  }, [client, name, ref]);

  useEffect(() => {
    const heard = ({ detail: upload }: CustomEvent<Upload | null>) => {
      if (upload?.state === "committed" && upload.result) onCommitted?.(upload.result, upload);
    };
    queue.addEventListener("state", heard);
    return () => queue.removeEventListener("state", heard);
  }, [queue, onCommitted]);

  // Entering a child is told before leaving its parent: only the balance says whether files are over us.
  const [depth, setDepth] = useState(0);
  const one = useCallback((id: string) => queue.items.find((item) => item.id === id), [queue]);
  const add = useCallback((files: Iterable<Blob>) => queue.add(files), [queue]);
  return {
    items,
    progress,
    slot,
    dragging: depth > 0,
    queue,
    add,
    start: useCallback(() => queue.start(), [queue]),
    cancel: useCallback((id) => (id === undefined ? queue : one(id))?.cancel(), [queue, one]),
    retry: useCallback((id) => void (id === undefined ? queue : one(id))?.retry(), [queue, one]),
    remove: useCallback(
      (id) => {
        const upload = one(id);
        if (upload) queue.remove(upload);
      },
      [queue, one],
    ),
    getInputProps: () => ({
      type: "file",
      accept: slot?.accept.join(",") || undefined,
      multiple: slot !== null && slot.max_entries > 1,
      onChange({ currentTarget: input }: ChangeEvent<HTMLInputElement>) {
        add([...(input.files ?? [])]);
        // The same file can be picked again.
        input.value = "";
      },
    }),
    getDropProps: () => ({
      onDragEnter(event) {
        event.preventDefault();
        setDepth((depth) => depth + 1);
      },
      onDragOver: (event) => event.preventDefault(),
      onDragLeave: () => setDepth((depth) => Math.max(0, depth - 1)),
      onDrop(event) {
        event.preventDefault();
        setDepth(0);
        add([...event.dataTransfer.files]);
      },
    }),
  };
}

/** A queue whose state is read as one value that stays the same until it changes. */
function hold(client: Client, options: QueueOptions): Held {
  const queue = client.queue(options);
  let seen: Snapshot | null = null;
  const snapshot = () => (seen ??= { items: queue.items.map(itemOf), progress: queue.progress });
  const subscribe = (changed: () => void) => {
    const news = () => {
      seen = null;
      changed();
    };
    queue.addEventListener("state", news);
    queue.addEventListener("progress", news);
    // What happened between rendering and subscribing was not heard.
    seen = null;
    return () => {
      queue.removeEventListener("state", news);
      queue.removeEventListener("progress", news);
    };
  };
  return { client, slot: options.slot, ref: options.ref, queue, subscribe, snapshot };
}

function itemOf(upload: Upload): Item {
  const { id, file, name, size, type, state, waitingFor, paused, ended, progress, result, error } = upload;
  return { id, file, name, size, type, state, waitingFor, paused, ended, progress, result, error, upload };
}
