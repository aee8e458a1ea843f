/** Files as people give them: dropped (folders too), pasted, picked. */
/** Whether what is dragged holds files: text and links are not ours. */
export function holdsFiles(transfer) {
    return transfer !== null && [...transfer.types].includes("Files");
}
/**
 * The files of a drop or a paste; those of folders too, however deep.
 * The entries are taken at once: a `DataTransfer` is empty after the event.
 */
export async function filesOf(transfer) {
    const found = [];
    for (const item of transfer.items) {
        if (item.kind !== "file")
            continue;
        const entry = item.webkitGetAsEntry?.() ?? null;
        const file = item.getAsFile();
        if (entry?.isDirectory)
            found.push(within(entry));
        else if (file !== null)
            found.push(Promise.resolve([file]));
    }
    return (await Promise.all(found)).flat();
}
/** A folder that cannot be read gives nothing. */
async function within(folder) {
    const reader = folder.createReader();
    const files = [];
    for (;;) {
        const entries = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
        if (entries.length === 0)
            return files;
        for (const entry of entries) {
            if (entry.isDirectory)
                files.push(...(await within(entry)));
            else {
                const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
                // What systems leave in folders is not what anybody meant to upload.
                if (file !== null && !/^(\.DS_Store|Thumbs\.db|desktop\.ini)$/i.test(file.name))
                    files.push(file);
            }
        }
    }
}
/**
 * Makes an element take files that are dropped on it or pasted into it. `over` hears whether
 * files hover. Answers what undoes it.
 */
export function takeFiles(zone, take, over) {
    // Children fire enter and leave too; only the balance tells.
    let depth = 0;
    const listeners = [
        ["dragenter", (event) => {
                if (!holdsFiles(event.dataTransfer))
                    return;
                event.preventDefault();
                depth += 1;
                over(true);
            }],
        ["dragover", (event) => {
                const { dataTransfer } = event;
                if (!holdsFiles(dataTransfer))
                    return;
                event.preventDefault();
                dataTransfer.dropEffect = "copy";
            }],
        ["dragleave", (event) => {
                if (!holdsFiles(event.dataTransfer))
                    return;
                depth = Math.max(0, depth - 1);
                if (depth === 0)
                    over(false);
            }],
        ["drop", (event) => {
                const { dataTransfer } = event;
                depth = 0;
                over(false);
                if (!holdsFiles(dataTransfer))
                    return;
                event.preventDefault();
                event.stopPropagation();
                void filesOf(dataTransfer).then(take);
            }],
        ["paste", (event) => {
                const { clipboardData } = event;
                if (!holdsFiles(clipboardData))
                    return;
                event.preventDefault();
                void filesOf(clipboardData).then(take);
            }],
    ];
    for (const [name, listener] of listeners)
        zone.addEventListener(name, listener);
    return () => {
        for (const [name, listener] of listeners)
            zone.removeEventListener(name, listener);
    };
}
//# sourceMappingURL=given.js.map