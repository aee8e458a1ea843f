/** Every word that the element and the binding say, so that a page can say it in its own language. */

/** Placeholders in braces are filled in; a translation may leave them out or turn them around. */
export interface Strings {
  /** On the button that opens the file dialog. */
  choose: string;
  chooseMany: string;
  /** On the same button, when a new pick takes the old file's place. */
  replace: string;
  /** Beside it, on screens that can drop. */
  drop: string;
  /** Begins uploads that wait for it. */
  start: string;
  /** `{size}`: the largest file. */
  rules: string;
  /** `{size}`, `{count}`. */
  rulesMany: string;
  waiting: string;
  waitingForStart: string;
  waitingForNetwork: string;
  waitingForOtherTab: string;
  paused: string;
  hashing: string;
  /** `{percent}`; `{left}`: the time that is left, or nothing. */
  uploading: string;
  verifying: string;
  committed: string;
  cancelled: string;
  cancel: string;
  pause: string;
  resume: string;
  retry: string;
  remove: string;
  /** For those who hear the page: `{action}` is one of the words above. */
  actionOf: string;
  progressOf: string;
  /** Of all files: `{done}`, `{count}`, `{percent}`, `{speed}`. */
  total: string;
  /** `{name}`, `{news}`. */
  announce: string;
  /** Validation: a form that needs a file has none, or has some still on their way. */
  required: string;
  unfinished: string;
  /** `{seconds}`, `{minutes}`, `{hours}`: how long it will take. */
  seconds: string;
  minutes: string;
  hours: string;
  /** What a problem means to the person, by `code`, or by `code:reason`; `{detail}` is the broker's own sentence. */
  problems: Record<string, string>;
}

/** English. */
export const english: Strings = {
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
export function strings(own: Partial<Strings> = {}): Strings {
  return { ...english, ...own, problems: { ...english.problems, ...own.problems } };
}

/** `text` with its placeholders filled. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}
