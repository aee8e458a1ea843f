// Runs the route handlers without Next.js, as it would call them: a Request in, a Response out.
import { createServer } from "node:http";

const routes = {
  "/login": "login",
  "/upload-token": "upload-token",
  "/hooks/putgate": "hooks/putgate",
  "/events": "events",
};

const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const { method, url, headers } = incoming;
  const number = /^\/posts\/(\d+)$/.exec(url)?.[1];
  const folder = number ? "posts/[number]" : routes[url];
  const handlers = folder ? await import(`./app/api/${folder}/route.js`) : {};
  const body = method === "GET" ? undefined : Buffer.concat(chunks);
  const request = new Request(`http://${headers.host}${url}`, { method, headers, body });
  const answer = (await handlers[method]?.(request, { params: Promise.resolve({ number }) })) ?? new Response(null, { status: 404 });
  outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
  outgoing.end(Buffer.from(await answer.arrayBuffer()));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
