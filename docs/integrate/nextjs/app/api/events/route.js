import { kinds } from "../../../lib/events.js";

export const GET = () => Response.json(kinds());
