/** Every word that the element and the binding say, so that a page can say it in its own language. */
/** English. */
export const english = {
    choose: "Choose a file",
    chooseMany: "Choose files",
    replace: "Replace",
    drop: "or drop or paste here",
    start: "Upload",
    rules: "Up to {size}.",
    rulesMany: "Up to {size} each, {count} files.",
    waiting: "Waiting",
    waitingForStart: "Ready to upload",
    waitingForNetwork: "Waiting for the network",
    waitingForOtherTab: "Another tab is uploading this file",
    paused: "Paused, {percent} %",
    hashing: "Reading the file",
    uploading: "Uploading, {percent} %{left}",
    verifying: "Checking what arrived",
    committed: "Done",
    cancelled: "Cancelled",
    cancel: "Cancel",
    pause: "Pause",
    resume: "Resume",
    retry: "Try again",
    remove: "Remove",
    actionOf: "{action}: {name}",
    progressOf: "Progress of {name}",
    total: "{done} of {count} done, {percent} %{speed}",
    announce: "{name}: {news}",
    required: "Please choose a file.",
    unfinished: "Please wait until the upload is done, or cancel it.",
    seconds: "{n} s left",
    minutes: "{n} min left",
    hours: "{n} h left",
    problems: {
        "file-too-large": "This file is larger than {limit} allowed here.",
        "type-not-accepted": "Files of this type are not accepted here.",
        "slot-full": "There is no room for another file.",
        "quota-exceeded": "This file does not fit into the space that is left.",
        "content-rejected:empty": "This file is empty.",
        "content-rejected:type-mismatch": "This file is not what its name says: {detail}",
        "content-rejected:type-not-accepted": "Files of this type are not accepted here: {detail}",
        "content-rejected:type-unknown": "Nobody can tell what kind of file this is.",
        "content-rejected:image-too-large": "This picture has too many pixels: {detail}",
        "content-rejected:active-content": "This file holds a script, so it is not accepted.",
        "content-rejected:malformed": "This file is damaged: {detail}",
        "content-rejected:size-mismatch": "The file changed while it was uploaded. Please try again.",
        "content-rejected:checksum-mismatch": "The file changed while it was uploaded. Please try again.",
        "file-changed": "The file changed while it was uploaded. Please choose it again.",
        "ticket-expired": "The upload took too long. Please try again.",
        "too-many-open-tickets": "Too many uploads at once. Please wait a moment and try again.",
        unauthenticated: "You are not signed in any more. Please sign in and try again.",
        forbidden: "You may not upload here.",
        "api-unreachable": "The server does not answer. Please try again.",
        "storage-unreachable": "The connection broke. Please try again.",
    },
};
/** The default strings with a page's own over them, problems one by one. */
export function strings(own = {}) {
    return { ...english, ...own, problems: { ...english.problems, ...own.problems } };
}
/** `text` with its placeholders filled. */
export function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
//# sourceMappingURL=strings.js.map