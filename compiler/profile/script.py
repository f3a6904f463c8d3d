"""What the page of a profile does and how it looks, beyond what it shares with tuning's reports."""

STYLE = """
body { max-width: 110rem; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible, tr:focus-visible, input:focus-visible {
  outline: 2px solid var(--curve); outline-offset: -1px; }
th[aria-sort=ascending] button::after { content: " \\25B4"; }
th[aria-sort=descending] button::after { content: " \\25BE"; }
td:not(.n) { max-width: 24rem; overflow-wrap: anywhere; }
td.n { position: relative; } td.n span { position: relative; }
td.n i { position: absolute; right: 0; top: .15rem; bottom: .15rem; background: var(--curve);
  opacity: .25; }
input { font: inherit; padding: .1rem .4rem; }
tr[hidden] { display: none; }
"""

SCRIPT = """
'use strict';
const search = document.getElementById('search');
const key = cell => cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
function sort(heading) {
  const table = heading.closest('table'), body = table.tBodies[0];
  const at = heading.cellIndex, number = heading.classList.contains('n');
  const up = heading.getAttribute('aria-sort') === (number ? 'descending' : null) ||
    (!number && heading.getAttribute('aria-sort') !== 'ascending');
  for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a.cells[at]), y = key(b.cells[at]);
    return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
  });
  body.append(...rows);
}
function filter() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const row of document.querySelectorAll('tbody tr')) {
    const told = row.textContent.toLowerCase();
    row.hidden = !words.every(word => told.includes(word));
  }
}
document.addEventListener('click', event => {
  const button = event.target.closest('th button');
  if (button) sort(button.parentElement);
});
search.addEventListener('input', filter);
document.addEventListener('keydown', event => {
  const row = document.activeElement.closest('tbody tr');
  if (event.key === '/' && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === 'Escape' && document.activeElement === search) {
    search.value = '';
    filter();
    search.blur();
  } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    const step = event.key === 'ArrowDown' ? 'nextElementSibling' : 'previousElementSibling';
    const heading = document.activeElement.closest('thead');
    let next = row ? row[step] :
      heading && event.key === 'ArrowDown' ? heading.nextElementSibling.rows[0] : null;
    while (next && next.hidden) next = next[step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }
});
for (const table of document.querySelectorAll('table.sorts')) {
  const first = [...table.tHead.rows[0].cells].find(cell => cell.textContent === 'call');
  if (first) first.setAttribute('aria-sort', 'ascending');
}
"""
