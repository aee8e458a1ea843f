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
export declare const english: Strings;
/** The default strings with a page's own over them, problems one by one. */
export declare function strings(own?: Partial<Strings>): Strings;
/** `text` with its placeholders filled. */
export declare function fill(text: string, values: Record<string, string | number>): string;
