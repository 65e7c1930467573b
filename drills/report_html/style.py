"""The style of the report's pages. Colours are named by what they stand for; dark has its own."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #fff; --ink: #1b1c1e; --soft: #5c6066; --line: #dcdcd8; --grid: #ececE8;
  --good: #12713f; --good-back: #e3f3e9; --warn: #8a5a00; --warn-back: #fdf1d8; --bad: #b3261e; --bad-back: #fbe6e4;
  --holds: #3b78c3; --p99: #c2571a; --p50: #e2a06f; --error: #c62f26; --fault: #c98500; --shade: #f2b62c2b;
  --leader: #7a4fb5; --s0: #2b6cb8; --s1: #1d8a6b; --s2: #b04a8f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131416; --card: #1c1e21; --ink: #e9e9e6; --soft: #a0a4ab; --line: #34373c; --grid: #292c30;
    --good: #6fd39a; --good-back: #15301f; --warn: #f0bd5a; --warn-back: #362a10; --bad: #ff8f86; --bad-back: #401a17;
    --holds: #5b97e0; --p99: #ee8a4c; --p50: #9c6238; --error: #ff6b60; --fault: #e0a52f; --shade: #e0a52f24;
    --leader: #b594ec; --s0: #6aa5ec; --s1: #46c39c; --s2: #e083c0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 27px; line-height: 1.2; margin: 2px 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 34px 0 10px; }
p { margin: 0 0 8px; max-width: 75ch; }
a { color: inherit; text-underline-offset: 3px; }
.over { color: var(--soft); font-size: 13px; }
.verdict { border-radius: 10px; padding: 14px 18px; margin: 18px 0 16px; }
.verdict strong { font-size: 19px; }
.verdict ul { margin: 6px 0 0; padding-left: 20px; }
.good { background: var(--good-back); color: var(--good); }
.warn { background: var(--warn-back); color: var(--warn); }
.bad { background: var(--bad-back); color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 10px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px; }
.card .name { color: var(--soft); font-size: 13px; }
.card .value { font-size: 23px; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.35; }
.card .note { color: var(--soft); font-size: 12.5px; line-height: 1.4; }
.card.over-limit { border-color: var(--bad); }
.card.over-limit .value { color: var(--bad); }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.timeline { padding: 12px 8px 4px; }
.timeline svg { display: block; width: 100%; min-width: 760px; touch-action: pan-x pan-y; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 0; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 14px; height: 10px; border-radius: 2px; margin-right: 6px; }
.legend i.stroke { height: 3px; vertical-align: middle; }
.legend i.turned { width: 9px; height: 9px; transform: rotate(45deg); border-radius: 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; white-space: nowrap; }
th, td { padding: 7px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.when, th.when { width: 1%; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { white-space: nowrap; font-weight: 600; }
td .limit { color: var(--soft); font-size: 12.5px; }
td.missed, td.missed .limit { color: var(--bad); }
td.missed { font-weight: 600; }
.badge { display: inline-block; border-radius: 20px; padding: 0 10px; font-size: 12.5px; font-weight: 600; }
.badge { white-space: nowrap; }
ul.problems { margin: 6px 0 2px; padding-left: 18px; }
ul.problems li { font: 12.5px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; margin-bottom: 4px; }
.spark { display: block; width: 150px; height: 30px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(310px, 1fr)); gap: 0 24px; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
.tip { display: none; position: fixed; z-index: 2; pointer-events: none; background: var(--card); color: var(--ink); }
.tip { border: 1px solid var(--line); border-radius: 8px; padding: 7px 11px; font-size: 12.5px; max-width: 310px; }
.tip { box-shadow: 0 4px 18px #0003; font-variant-numeric: tabular-nums; }
.tip div:first-child { font-weight: 600; }
svg text { font: 11.5px system-ui, sans-serif; fill: var(--soft); }
svg .title { font-size: 12.5px; font-weight: 600; fill: var(--ink); }
svg .grid { stroke: var(--grid); }
svg .base { stroke: var(--line); }
svg .shade { fill: var(--shade); }
svg .fault { fill: var(--fault); }
svg .fault-text, svg .leader-text { fill: var(--ink); }
svg .leader { fill: var(--leader); }
svg .change { stroke: var(--leader); stroke-dasharray: 3 3; opacity: .75; }
svg .cut-off { fill: var(--holds); font-weight: 600; }
svg .moment { stroke: var(--soft); stroke-dasharray: 1 3; }
svg .holds { fill: var(--holds); fill-opacity: .82; }
svg .p50, svg .p99, svg .stream { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
svg .p50 { stroke: var(--p50); }
svg .p99 { stroke: var(--p99); }
svg .error { fill: var(--error); }
svg .s0 { stroke: var(--s0); } svg .s1 { stroke: var(--s1); } svg .s2 { stroke: var(--s2); }
svg .gap { stroke: var(--error); fill: none; stroke-width: 1.6; }
svg .gap-text { fill: var(--error); font-weight: 600; paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
svg .cursor { stroke: var(--ink); opacity: .45; }
@media (max-width: 640px) {
  main { padding: 18px 12px 40px; }
  h1 { font-size: 22px; }
  .cards { grid-template-columns: 1fr 1fr; gap: 8px; }
  .card { padding: 8px 11px; }
  .card .value { font-size: 20px; }
  th, td { padding: 6px 9px; }
  .checks thead { display: none; }
  .checks tr { display: grid; grid-template-columns: 1fr auto; border-bottom: 1px solid var(--line); padding: 4px 0; }
  .checks td { border: 0; padding: 3px 12px; }
  .checks td:last-child { grid-column: 1 / 3; }
}
@media print { body { background: none; } .wide { overflow: visible; } .card, .wide { break-inside: avoid; } }
"""
