// Renders openapi.json. Text goes in as text, never as markup.
const METHODS = ["get", "post", "delete"];

/** An element with attributes and children. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Words with `code` in them. */
function words(text) {
  return (text ?? "").split(/`([^`]+)`/).map((piece, n) => (n % 2 ? el("code", null, piece) : piece));
}

/** A path that breaks before its slashes, where it must. */
function breakable(path) {
  return path.split(/(?=\/)/).flatMap((piece) => [el("wbr"), piece]);
}

function paragraphs(text, attributes) {
  return (text ?? "").split(/\n\n+/).filter(Boolean).map((text) => el("p", attributes, ...words(text)));
}

/** A schema's name or kind, in a word or two. */
function kind(schema) {
  if (!schema || Object.keys(schema).length === 0) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.allOf) return kind(schema.allOf[0]);
  if (schema.oneOf) return schema.oneOf.map(kind).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  const types = [schema.type].flat().map((type) => (type === "array" ? `list of ${kind(schema.items)}` : type));
  const format = schema.format ? ` (${schema.format})` : "";
  return types.join(" or ") + format;
}

/** The bounds of a schema, for people. */
function bounds(schema) {
  const said = [];
  const say = (name, text) => schema?.[name] !== undefined && said.push(text(schema[name]));
  say("minimum", (n) => `at least ${n}`);
  say("maximum", (n) => `at most ${n}`);
  say("maxLength", (n) => `${schema.minLength ?? 0} to ${n} characters`);
  say("maxItems", (n) => `${schema.minItems ?? 0} to ${n} of them`);
  say("default", (value) => `default ${value}`);
  say("pattern", (text) => `matches \`${text}\``);
  return said.length ? words(` (${said.join(", ")})`) : [];
}

function table(rows) {
  return el("table", null, el("tbody", null, ...rows.map(([name, ...cells]) =>
    el("tr", null, el("th", { scope: "row" }, ...name), ...cells.map((cell) => el("td", null, ...cell))))));
}

/** The members of the schema that another names, if it has any. */
function named(document, schema) {
  const link = [schema, schema?.items, schema?.allOf?.[0], ...(schema?.oneOf ?? [])].find((one) => one?.$ref)?.$ref;
  const whole = link && document.components.schemas[link.split("/").pop()];
  return whole?.properties || whole?.oneOf || whole?.allOf ? whole : null;
}

/** A schema's members behind a click. */
function unfolded(document, schema, label) {
  const whole = named(document, schema);
  if (!whole) return el("p", null, ...label);
  // A problem, which has a place of its own, and what is beside it.
  if (whole.allOf) return el("details", null, el("summary", null, ...label), ...paragraphs(whole.description), shape(document, whole.allOf[1]));
  const inside = whole.oneOf ? whole.oneOf.map((one) => unfolded(document, one, [el("code", null, kind(one))])) : [shape(document, whole)];
  return el("details", null, el("summary", null, ...label), ...inside);
}

function shape(document, schema) {
  const needed = new Set(schema.required ?? []);
  return table(Object.entries(schema.properties ?? {}).map(([name, member]) => [
    [el("code", null, name), needed.has(name) ? "" : " ?"],
    [el("code", null, kind(member))],
    [
      ...words(member.description ?? member.oneOf?.[0].description), ...bounds(member),
      named(document, member) ? unfolded(document, member, ["its members"]) : "",
    ],
  ]));
}

/** A body: its schema's name, and its members behind a click. */
function body(document, content) {
  return Object.entries(content ?? {}).flatMap(([type, { schema }]) => {
    if (type === "application/problem+json") return [];
    return [unfolded(document, schema, [el("code", null, kind(schema)), ` as ${type}`])];
  });
}

function answer(document, [status, response]) {
  const headers = Object.keys(response.headers ?? {}).filter((name) => name !== "x-request-id");
  return [
    [el("code", null, status)],
    [
      ...words(response.description),
      ...(headers.length ? [response.description.endsWith(".") ? " With " : ". With ", ...headers.flatMap((name, n) => [n ? ", " : "", el("code", null, name)]), "."] : []),
      ...body(document, response.content),
    ],
  ];
}

function operation(document, path, method, about) {
  const parts = [];
  if (about.parameters?.length) {
    parts.push(el("h4", null, "Parameters"), table(about.parameters.map((parameter) => [
      [el("code", null, parameter.name), parameter.required ? "" : " ?"],
      [el("span", { class: "faint" }, parameter.in)],
      [el("code", null, kind(parameter.schema)), " ", ...words(parameter.description), ...bounds(parameter.schema)],
    ])));
  }
  if (about.requestBody) {
    parts.push(el("h4", null, about.requestBody.required ? "Body" : "Body, if any"));
    parts.push(...body(document, about.requestBody.content));
  }
  parts.push(el("h4", null, "Answers"), table(Object.entries(about.responses).map((each) => answer(document, each))));
  return el("article", { id: about.operationId },
    el("h3", null, el("span", { class: `method ${method}` }, method), el("span", { class: "path" }, path)),
    el("p", null, ...words(about.summary)),
    ...paragraphs(about.description, { class: "faint" }),
    ...(about.security?.length ? [] : [el("p", { class: "faint" }, "No token needed.")]),
    ...parts);
}

function render(api) {
  const main = document.querySelector("main");
  const nav = document.querySelector("nav");
  main.replaceChildren(
    el("h1", null, `${api.info.title} API `, el("span", { class: "faint" }, api.info.version)),
    ...paragraphs(api.info.description),
    el("p", null, el("a", { href: "openapi.json" }, "openapi.json"), `, OpenAPI ${api.openapi}`));
  for (const tag of api.tags) {
    const found = Object.entries(api.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]?.tags?.includes(tag.name)).map((method) => [path, method, item[method]]));
    nav.append(el("h2", null, tag.name), el("ul", null, ...found.map(([path, method, about]) =>
      el("li", null, el("a", { href: `#${about.operationId}`, title: about.summary },
        el("span", { class: `method ${method}` }, method), " ", el("span", { class: "path" }, ...breakable(path.replace(/^\/v1|^\/u\/{slot}\/{token}/, ""))))))));
    main.append(el("h2", null, tag.name), el("p", { class: "faint" }, tag.description));
    main.append(...found.map(([path, method, about]) => operation(api, path, method, about)));
  }
  const problem = api.components.schemas.Problem;
  main.append(el("h2", { id: "problem" }, "problems"), ...paragraphs(problem.description), shape(api, problem),
    el("pre", null, JSON.stringify(problem.examples[0], null, 2)));
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  render(await answer.json());
} catch (error) {
  document.querySelector("#state").textContent = `The document could not be read: ${error.message}`;
}
