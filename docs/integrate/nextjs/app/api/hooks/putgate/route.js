import { keep } from "../../../../lib/events.js";
import { event } from "../../../../lib/putgate.js";

export async function POST(request) {
  const found = await event(request);
  if (!found) return new Response(null, { status: 401 });
  keep(found);
  return new Response(null, { status: 204 });
}
