// Stands for your database: the ids and kinds of the events that came. Next.js may load a module
// once for each route, so what they share is the process's.
const seen = (globalThis.putgateEvents ??= new Map());

export const keep = ({ id, type }) => seen.set(id, type);
export const kinds = () => [...seen.values()];
