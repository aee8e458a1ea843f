// Stands for your database: the ids and kinds of the events that came.
const seen = new Map();

export const keep = ({ id, type }) => seen.set(id, type);
export const kinds = () => [...seen.values()];
