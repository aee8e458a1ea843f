import { token } from "../../../lib/putgate.js";
import { userOf } from "../../../lib/session.js";

export function POST(request) {
  const user = userOf(request);
  if (!user) return new Response(null, { status: 401 });
  return Response.json({ token: token(user, { slots: ["photos"] }) });
}
