/** Numbers and states in words. */
import type { PutgateError } from "../errors.js";
import type { Upload } from "../types.js";
import { fill } from "./strings.js";
import type { Strings } from "./strings.js";

/** Bytes as people read them, by the decimal units that configurations use. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit > 0 && value < 9.95 ? 1 : 0).replace(/\.0$/, "")} ${units[unit]}`;
}

/** How long something will take; coarse, so that it does not flicker. */
export function timeLeft(seconds: number, say: Strings): string {
  if (seconds < 90) return fill(say.seconds, { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return fill(say.minutes, { n: Math.round(seconds / 60) });
  return fill(say.hours, { n: Math.round(seconds / 3600) });
}

/** What a person has to know of an error. */
export function problem(error: PutgateError, say: Strings): string {
  const text = say.problems[`${error.code}:${error.reason}`] ?? say.problems[error.code] ?? "{detail}";
  const limit = error.problem?.["limit"];
  return fill(text, { detail: error.detail, limit: typeof limit === "number" ? `the ${bytes(limit)}` : "is" });
}

/** Where an upload is, in a line. */
export function status(upload: Upload, say: Strings): string {
  const { percent, timeLeft: seconds } = upload.progress;
  switch (upload.state) {
    case "waiting":
      if (upload.paused) return fill(say.paused, { percent });
      if (upload.waitingFor === "start") return say.waitingForStart;
      if (upload.waitingFor === "network") return say.waitingForNetwork;
      if (upload.waitingFor === "other-tab") return say.waitingForOtherTab;
      return say.waiting;
    case "hashing":
      return say.hashing;
    case "uploading":
      return fill(say.uploading, { percent, left: seconds === null ? "" : `, ${timeLeft(seconds, say)}` });
    case "verifying":
      return say.verifying;
    case "committed":
      return say.committed;
    case "cancelled":
      return say.cancelled;
    case "rejected":
    case "failed":
      return upload.error === null ? "" : problem(upload.error, say);
  }
}
