import type { BenchDocument, RouteResult } from './document.ts'
import { histogramChart } from './histogram-chart.ts'
import { ratioChart } from './ratio-chart.ts'
import { duration } from './table.ts'

/** The document as a page that needs nothing else: no network, no script. */
export function renderPage(document: BenchDocument): string {
  const { host, baseline, routes } = document
  const withExit = routes.filter(({ unit }) => unit !== 'event')
  const withoutExit = routes.filter(({ unit }) => unit === 'event')
  const cost = baseline.nsPerExit === null ? '' : `, ${duration(baseline.nsPerExit)} per port exit`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vmexit bench</title>
<style>${css}</style>
<main>
<h1>What an exit costs</h1>
<p class="host">${escape(`${host.backend} · ${host.cpu} · ${host.cores} cores · Linux ${host.kernel} · Node.js ${host.node} · vmexit ${document.package} · ${document.date}`)}</p>
<p>Baseline <b>${escape(baseline.name)}</b>${cost}: ${escape(baseline.about)}. It runs alternately with each route;
a sample is ${document.exits} exits.</p>
${notes(document)}
${section('Routes with an exit', `${legend}<p class="how">Ratio: baseline mean / route mean. Longer is better, 1 is as fast as the baseline.</p>`, ratioChart('Ratios of routes with an exit', withExit))}
${section('Events without an exit', '<p class="how">Events in the time of one baseline port exit.</p>', ratioChart('Ratios of routes without an exit', withoutExit))}
${section('Figures', '', routes.length > 0 ? table(routes) : '')}
${section('How the times are spread', '<p class="how">Bars: the route. Outline: single exits of the baseline. Shares of all times, on a logarithmic scale.</p>', panels(document))}
<section><h2>Raw data</h2>
<details><summary>The JSON document</summary><pre>${escape(JSON.stringify(document, null, 1))}</pre></details></section>
</main>
</html>
`
}

const legend =
  '<p class="legend"><span><i class="swatch"></i>mean</span><span><i class="whisker"></i>range of the pairs</span>' +
  '<span><i class="mark"></i>goal</span><span><i class="dashed"></i>the baseline</span></p>'

function section(title: string, intro: string, body: string): string {
  return body === '' ? '' : `<section><h2>${title}</h2>${intro}${body}</section>`
}

function notes({ skipped, failed, interrupted }: BenchDocument): string {
  const lines = [
    ...(interrupted ? ['Ended by Ctrl-C: not everything was measured.'] : []),
    ...failed.map(({ route, reason }) => `Failed: ${route}: ${reason}`),
    ...skipped.map(({ route, reason }) => `Skipped: ${route}: ${reason}`),
  ]
  return lines.length === 0
    ? ''
    : `<ul class="notes">${lines.map((line) => `<li>${escape(line)}`).join('')}</ul>`
}

function panels({ routes }: BenchDocument): string {
  return routes.length === 0
    ? ''
    : `<div class="panels">${routes.map(histogramChart).join('')}</div>`
}

function table(routes: readonly RouteResult[]): string {
  const heads = ['mean', 'p50', 'p90', 'p99', 'max', 'baseline', 'ratio', 'spread', 'goal']
  const rows = routes.map(({ route, unit, about, nsPerExit, ...result }) => {
    const { mean, p50, p90, p99, max } = nsPerExit
    const { baselineNsPerExit, ratio, spread, goal } = result
    const cells = [
      ...[mean, p50, p90, p99, max].map(duration),
      baselineNsPerExit === null ? '–' : duration(baselineNsPerExit),
      ratio === null ? '–' : ratio.toFixed(2),
      spread === null ? '–' : `${Math.round(spread * 100)}%`,
      goal === null ? '' : goal.toFixed(2),
    ]
    return (
      `<tr><th scope="row">${route}</th><td class="word">${unit}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>` +
      `<tr class="about"><td colspan="11">${escape(about)}</td></tr>`
    )
  })
  return (
    '<div class="wide"><table><thead><tr><th scope="col">route</th><th scope="col" class="word">unit</th>' +
    `${heads.map((head) => `<th scope="col">${head}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
  )
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const css = `
:root{color-scheme:light dark;--page:#fcfcfb;--ink:#1a1a19;--soft:#5f5e5a;--line:#e3e2dd;--bar:#2a78d6;--range:#0f3a6e;--missed:#a33b12}
@media(prefers-color-scheme:dark){:root{--page:#1a1a19;--ink:#f4f3ef;--soft:#b0aea6;--line:#3a3936;--bar:#3987e5;--range:#cfe2fa;--missed:#f0986c}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 4px}
p{margin:4px 0}.host,.how{color:var(--soft);font-size:13px}
.notes{border-left:3px solid var(--missed);margin:16px 0;padding:2px 0 2px 28px;font-size:14px}
figure{margin:12px 0 0}svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
.ratios{overflow-x:auto}.ratios svg{min-width:600px}
.grid,.axis{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft)}
.tick{fill:var(--soft);font-size:11px}.name,.value{fill:var(--ink);font-size:13px}.value{font-weight:600}
.missed{fill:var(--missed);font-size:11px}.hit{fill:transparent}.bar{fill:var(--bar)}
.range{stroke:var(--range);stroke-width:2}.goal{fill:var(--ink)}.goal-gap{fill:var(--page)}
.one{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:4 3}
.outline{fill:none;stroke:var(--ink);stroke-width:1.25;opacity:.75}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;color:var(--soft)}
.legend span{display:inline-flex;align-items:center;gap:6px}
.legend i{display:inline-block;width:18px}.swatch{height:10px;background:var(--bar);border-radius:0 3px 3px 0}
.whisker{border-top:2px solid var(--range)}.dashed{border-top:2px dashed var(--soft)}
.legend .mark{width:2px;height:16px;background:var(--ink)}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:20px 32px}
.panel{border-top:1px solid var(--line);padding-top:8px}.panel p{font-size:13px}.panel .how{font-size:12px}
.wide{overflow-x:auto;margin-top:12px}table{border-collapse:collapse;font-size:13px;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 8px 0;white-space:nowrap}th:first-child,.word,.about td{text-align:left}
thead th{color:var(--soft);font-weight:500;padding-bottom:6px;border-bottom:1px solid var(--line)}
.about td{color:var(--soft);white-space:normal;padding:0 8px 6px;border-bottom:1px solid var(--line)}
pre{font-size:12px;overflow-x:auto;max-height:480px;border:1px solid var(--line);padding:12px}
`
