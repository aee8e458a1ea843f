import { claim } from "../../../../lib/putgate.js";
import { userOf } from "../../../../lib/session.js";

export async function POST(request, { params }) {
  const user = userOf(request);
  if (!user) return new Response(null, { status: 401 });
  const { number } = await params;
  const answer = await claim(user, (await request.json()).files, `post:${number}`);
  const body = await answer.json();
  if (!answer.ok) return Response.json(body, { status: answer.status });
  return Response.json({ photos: body.files.map((file) => file.id) });
}
