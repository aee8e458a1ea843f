import { kinds } from "../../../lib/events.js";

// Not what it was when the app was built.
export const dynamic = "force-dynamic";

export const GET = () => Response.json(kinds());
