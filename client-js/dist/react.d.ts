import type { DragEvent, InputHTMLAttributes } from "react";
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
/**
 * Uploads to a slot, as state. Uploads go on when the component is unmounted; `cancel()` ends
 * them. On a server it renders an empty list.
 */
export declare function useUpload({ client, onCommitted, ...options }: UseUploadOptions): UseUpload;
