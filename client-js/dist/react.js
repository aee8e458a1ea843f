/** A React hook around a queue. React itself is the app's. */
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
/**
 * Uploads to a slot, as state. Uploads go on when the component is unmounted; `cancel()` ends
 * them. On a server it renders an empty list.
 */
export function useUpload({ client, onCommitted, ...options }) {
    const { slot: name, ref } = options;
    const [held, setHeld] = useState(() => hold(client, options));
    let current = held;
    if (held.client !== client || held.slot !== name || held.ref !== ref) {
        current = hold(client, options);
        setHeld(current);
    }
    const { queue, subscribe, snapshot } = current;
    const { items, progress } = useSyncExternalStore(subscribe, snapshot, snapshot);
    const [slot, setSlot] = useState(null);
    useEffect(() => {
        let alive = true;
        setSlot(null);
        client.slot(name, ref).then((slot) => alive && setSlot(slot), () => { });
        return () => {
            alive = false;
        };
    }, [client, name, ref]);
    useEffect(() => {
        const heard = ({ detail: upload }) => {
            if (upload?.state === "committed" && upload.result)
                onCommitted?.(upload.result, upload);
        };
        queue.addEventListener("state", heard);
        return () => queue.removeEventListener("state", heard);
    }, [queue, onCommitted]);
    // Entering a child is told before leaving its parent: only the balance says whether files are over us.
    const [depth, setDepth] = useState(0);
    const one = useCallback((id) => queue.items.find((item) => item.id === id), [queue]);
    const add = useCallback((files) => queue.add(files), [queue]);
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
        remove: useCallback((id) => {
            const upload = one(id);
            if (upload)
                queue.remove(upload);
        }, [queue, one]),
        getInputProps: () => ({
            type: "file",
            accept: slot?.accept.join(",") || undefined,
            multiple: slot !== null && slot.max_entries > 1,
            onChange({ currentTarget: input }) {
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
function hold(client, options) {
    const queue = client.queue(options);
    let seen = null;
    const snapshot = () => (seen ??= { items: queue.items.map(itemOf), progress: queue.progress });
    const subscribe = (changed) => {
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
function itemOf(upload) {
    const { id, file, name, size, type, state, waitingFor, paused, ended, progress, result, error } = upload;
    return { id, file, name, size, type, state, waitingFor, paused, ended, progress, result, error, upload };
}
//# sourceMappingURL=react.js.map