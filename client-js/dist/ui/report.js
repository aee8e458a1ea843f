/** `verifying` is still under way: nothing is complete before it is committed. */
export function statusOf(state) {
    switch (state) {
        case "committed":
            return "complete";
        case "rejected":
        case "failed":
            return "error";
        case "cancelled":
            return "cancelled";
        default:
            return "uploading";
    }
}
/** Fires `putgate:upload:progress` on `target`; it bubbles. */
export function report(target, upload) {
    const detail = {
        ref: upload.id,
        progress: upload.progress.percent,
        status: statusOf(upload.state),
        uploadName: upload.slot,
        state: upload.state,
        file: upload.result,
        error: upload.error,
    };
    target.dispatchEvent(new CustomEvent("putgate:upload:progress", { bubbles: true, composed: true, detail }));
}
//# sourceMappingURL=report.js.map