/** Files as people give them: dropped (folders too), pasted, picked. */
/** Whether what is dragged holds files: text and links are not ours. */
export declare function holdsFiles(transfer: DataTransfer | null): transfer is DataTransfer;
/**
 * The files of a drop or a paste; those of folders too, however deep.
 * The entries are taken at once: a `DataTransfer` is empty after the event.
 */
export declare function filesOf(transfer: DataTransfer): Promise<File[]>;
/**
 * Makes an element take files that are dropped on it or pasted into it. `over` hears whether
 * files hover. Answers what undoes it.
 */
export declare function takeFiles(zone: EventTarget, take: (files: File[]) => void, over: (hovering: boolean) => void): () => void;
