/** The DOM event that pages hear of an upload's way, in the shape that template frameworks use. */
import type { CommittedFile, State, Upload } from "../types.js";
import type { PutgateError } from "../errors.js";

/** How an upload goes, in four words. */
export type Status = "uploading" | "complete" | "error" | "cancelled";

/** The detail of `putgate:upload:progress`. */
export interface Report {
  /** The upload's id on this page. */
  ref: string;
  /** 0 to 100; 100 only when it is committed. */
  progress: number;
  status: Status;
  /** The slot. */
  uploadName: string;
  /** The client's own word. */
  state: State;
  file: CommittedFile | null;
  error: PutgateError | null;
}

/** `verifying` is still under way: nothing is complete before it is committed. */
export function statusOf(state: State): Status {
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
export function report(target: EventTarget, upload: Upload): void {
  const detail: Report = {
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
