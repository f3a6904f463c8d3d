"""How a report looks, in the light and in the dark."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --curve: #0a6cbd; --soft: #8881; }
@media (prefers-color-scheme: dark) { :root { --curve: #6cb8ff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; border-top: 1px solid var(--line); }
h2 { padding-top: 1.2rem; } h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
.small { font-size: .85rem; opacity: .75; } .note { background: var(--soft); padding: .5rem .8rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; }
dt { opacity: .75; } dd { margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .7rem; border-bottom: 1px solid var(--line); }
th, td { vertical-align: top; } td.n { white-space: nowrap; }
th.n, td.n { text-align: right; }
details { margin: .3rem 0; } summary { cursor: pointer; }
svg { max-width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; }
svg .grid { stroke: var(--line); fill: none; }
svg .curve { stroke: var(--curve); fill: none; stroke-width: 2; }
"""
