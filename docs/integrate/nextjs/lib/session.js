// Stands for your app's sessions: a cookie with the user's id and a signature of it.
import { createHmac, timingSafeEqual } from "node:crypto";

const sign = (user) => createHmac("sha256", process.env.APP_SECRET).update(user).digest("hex");

export const cookieOf = (user) => `session=${encodeURIComponent(user)}.${sign(user)}; HttpOnly; SameSite=Lax; Path=/`;

/** Who is signed in, or null. */
export function userOf(request) {
  const [, user, given] = /(?:^|; )session=([^.;]+)\.([0-9a-f]{64})/.exec(request.headers.get("cookie") ?? "") ?? [];
  if (!user) return null;
  const id = decodeURIComponent(user);
  return timingSafeEqual(Buffer.from(given), Buffer.from(sign(id))) ? id : null;
}
