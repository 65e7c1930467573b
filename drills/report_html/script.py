"""The few lines of script of a drill's page: under the pointer, or a finger, stands what each second was."""

SCRIPT = """
(() => {
  const data = JSON.parse(document.getElementById('seconds').textContent);
  const svg = document.querySelector('.timeline svg'), tip = document.querySelector('.tip');
  const cursor = svg.querySelector('.cursor');
  const left = +svg.dataset.left, right = +svg.dataset.right, end = +svg.dataset.end;
  const width = svg.viewBox.baseVal.width;
  const ms = v => v === null ? '\\u2013' : v < 1000 ? Math.round(v) + ' ms' : (v / 1000).toFixed(1) + ' s';
  const waiting = s => data.backlog.map(([name, points]) => {
    let found = null;
    for (const [at, n] of points) { if (at > s + 1) break; found = n; }
    return name + ' ' + (found === null ? '\\u2013' : found);
  }).join(', ');
  const show = e => {
    const box = svg.getBoundingClientRect();
    const x = (e.clientX - box.left) / box.width * width;
    const s = Math.floor((x - left) / (right - left) * end);
    if (x < left || x > right || s < 0) return hide();
    const row = data.seconds[s] || [s, 0, 0, 0, null, null];
    const lines = [
      Math.floor(s / 60) + ':' + String(s % 60).padStart(2, '0'),
      row[1] + ' holds, ' + row[2] + ' refused, ' + row[3] + ' errors',
      'median ' + ms(row[4]) + ', p99 ' + ms(row[5]),
      'waiting: ' + waiting(s),
      ...data.faults.filter(f => f[1] < s + 1 && f[2] >= s).map(f => f[0]),
      ...data.changes.filter(c => Math.floor(c[1]) === s).map(c => c[0]),
    ];
    tip.replaceChildren(...lines.map(text => {
      const line = document.createElement('div'); line.textContent = text; return line;
    }));
    tip.style.display = 'block';
    const at = left + (s + 0.5) / end * (right - left);
    cursor.setAttribute('x1', at); cursor.setAttribute('x2', at);
    const page = document.documentElement.clientWidth;
    tip.style.left = Math.min(e.clientX + 14, page - tip.offsetWidth - 8) + 'px';
    tip.style.top = Math.max(8, e.clientY - tip.offsetHeight - 12) + 'px';
  };
  const hide = () => { tip.style.display = 'none'; cursor.setAttribute('x1', -9); cursor.setAttribute('x2', -9); };
  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', hide);
})();
"""
