import { cookieOf } from "../../../lib/session.js";

// Yours asks for a password.
export async function POST(request) {
  const { user } = await request.json();
  return new Response(null, { status: 204, headers: { "set-cookie": cookieOf(user) } });
}
