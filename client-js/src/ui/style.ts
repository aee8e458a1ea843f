/** How the element looks unless the page says otherwise: by custom properties, or by `::part()`. */
export const style = `
:host {
  --_accent: var(--putgate-accent, light-dark(#0b6b5c, #4fd1b8));
  --_on-accent: var(--putgate-on-accent, light-dark(#fff, #06201b));
  --_text: var(--putgate-text, CanvasText);
  --_muted: var(--putgate-muted, color-mix(in srgb, CanvasText 68%, Canvas));
  --_line: var(--putgate-line, color-mix(in srgb, CanvasText 24%, Canvas));
  --_surface: var(--putgate-surface, color-mix(in srgb, CanvasText 4%, Canvas));
  --_danger: var(--putgate-danger, light-dark(#b3261e, #ffb4ab));
  --_radius: var(--putgate-radius, 12px);
  display: block;
  color: var(--_text);
  font: inherit;
  line-height: 1.45;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
p, ul { margin: 0; padding: 0; }
ul { list-style: none; }
.drop {
  display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .9rem;
  padding: 1.1rem; border: 1.5px dashed var(--_line); border-radius: var(--_radius); background: var(--_surface);
  transition: border-color .15s, background-color .15s;
}
.drop.over { border-color: var(--_accent); background: color-mix(in srgb, var(--_accent) 12%, Canvas); }
input { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
label, button {
  display: inline-flex; align-items: center; justify-content: center; min-block-size: 2.25rem; min-inline-size: 2.25rem;
  padding: .3rem .9rem; border: 1px solid var(--_line); border-radius: calc(var(--_radius) * .66);
  background: Canvas; color: var(--_text); font: inherit; font-weight: 550; cursor: pointer;
}
label, button.primary { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); }
button.small { min-block-size: 1.9rem; padding: .1rem .65rem; font-size: .9em; font-weight: 500; }
label:hover, button:hover { filter: brightness(1.06); }
input:focus-visible + label, button:focus-visible { outline: 3px solid color-mix(in srgb, var(--_accent) 60%, Canvas); outline-offset: 2px; }
input:disabled + label, button:disabled { opacity: .55; cursor: default; }
.hint, .rules { color: var(--_muted); }
.rules { flex-basis: 100%; font-size: .92em; }
.trouble { color: var(--_danger); margin-block-start: .6rem; display: flex; gap: .7rem; align-items: center; flex-wrap: wrap; }
.total { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; margin-block-start: .8rem; }
.total .bar { flex-basis: 100%; }
.total-words { flex: 1; min-inline-size: 10rem; color: var(--_muted); font-size: .92em; font-variant-numeric: tabular-nums; }
.list { display: grid; gap: .55rem; margin-block-start: .8rem; }
.list:empty, .list:not(:has(li)) { display: none; }
.item {
  display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: .15rem .8rem; align-items: center;
  padding: .6rem .7rem; border: 1px solid var(--_line); border-radius: var(--_radius); background: Canvas;
}
.thumb {
  grid-row: 1 / span 3; inline-size: 3rem; block-size: 3rem; border-radius: calc(var(--_radius) * .6); overflow: hidden;
  display: grid; place-items: center; background: color-mix(in srgb, CanvasText 9%, Canvas);
  color: var(--_muted); font-size: .68rem; font-weight: 650;
}
.thumb img { inline-size: 100%; block-size: 100%; object-fit: cover; }
.line { display: flex; gap: .6rem; align-items: baseline; min-inline-size: 0; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 550; }
.size { color: var(--_muted); font-size: .88em; white-space: nowrap; }
.actions { grid-row: 1 / span 3; grid-column: 3; display: flex; flex-wrap: wrap; gap: .35rem; justify-content: flex-end; }
.status { color: var(--_muted); font-size: .9em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.bar { block-size: .4rem; border-radius: 1rem; overflow: hidden; background: color-mix(in srgb, CanvasText 14%, Canvas); }
.fill { block-size: 100%; inline-size: 0; border-radius: inherit; background: var(--_accent); transition: inline-size .2s; }
.item[data-state="rejected"] .status, .item[data-state="failed"] .status { color: var(--_danger); }
.item:is([data-state="committed"], [data-state="rejected"], [data-state="failed"], [data-state="cancelled"]) .bar { display: none; }
.item[data-state="verifying"] .fill { animation: breathe 1.1s ease-in-out infinite alternate; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@keyframes breathe { to { opacity: .45; } }
@media (max-width: 30rem) {
  .item { grid-template-columns: auto minmax(0, 1fr); }
  .actions { grid-row: auto; grid-column: 1 / -1; justify-content: flex-start; }
  .actions:empty { display: none; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
@media (forced-colors: active) { .fill { background: Highlight; } .drop.over { border-color: Highlight; } }
`;
