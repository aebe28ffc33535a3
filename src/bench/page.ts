import type { BenchDocument, RouteResult } from './document.ts'
import { histogramChart } from './histogram-chart.ts'
import { ratioChart } from './ratio-chart.ts'
import { above, asides, duration } from './table.ts'

/** The document as a page that needs nothing else: no network, no script. */
export function renderPage(document: BenchDocument): string {
  const { host, baseline, routes } = document
  const withExit = routes.filter(({ unit }) => unit !== 'write')
  const withoutExit = routes.filter(({ unit }) => unit === 'write')
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
${section('Routes with an exit', `${legend}<p class="how">Ratio: baseline mean / route mean. Longer is better, 1 is as fast as the baseline. Above: route mean less baseline mean, what is ours whatever an exit costs here.</p>`, ratioChart('Ratios of routes with an exit', withExit))}
${section('Events without an exit', '<p class="how">Events in the time of one baseline port exit.</p>', ratioChart('Ratios of routes without an exit', withoutExit))}
${section('Figures', '<p class="how">p50 to max are of single times, or of means of so many as the last column says.</p>', routes.length > 0 ? table(routes) : '')}
${section('How the times are spread', '<p class="how">Bars: the route, as the heading of each says. Outline: single exits of the baseline. Shares of all times, on a logarithmic scale.</p>', panels(document))}
<section><h2>Raw data</h2>
<details><summary>The JSON document</summary><pre>${escape(JSON.stringify(document, null, 1))}</pre></details></section>
</main>
</html>
`
}

const legend =
  '<p class="legend"><span><i class="swatch"></i>mean</span><span><i class="whisker"></i>range of the pairs</span>' +
  '<span><i class="dashed"></i>the baseline</span></p>'

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
  const heads = ['ratio', 'above', 'spread', 'mean', 'baseline', 'p50', 'p90', 'p99', 'max', 'of']
  const rows = routes.map((result) => {
    const { route, unit, baselineNsPerExit, ratio, nsAbove, spread, unitsPerTime } = result
    const { mean, p50, p90, p99, max } = result.nsPerExit
    const about = [result.about, ...asides(result).map(([, text]) => text)].join('; ')
    const cells = [
      ratio === null ? '–' : ratio.toFixed(2),
      nsAbove === null ? '–' : above(nsAbove),
      spread === null ? '–' : `${Math.round(spread * 100)}%`,
      duration(mean),
      baselineNsPerExit === null ? '–' : duration(baselineNsPerExit),
      ...[p50, p90, p99, max].map(duration),
      String(unitsPerTime),
    ]
    return (
      `<tr><th scope="row">${route} <small>per ${unit}</small></th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>` +
      `<tr class="about"><td colspan="${heads.length + 1}"><div>${escape(about)}</div></td></tr>`
    )
  })
  return (
    '<div class="wide"><table><thead><tr><th scope="col">route</th>' +
    `${heads.map((head) => `<th scope="col">${head}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
  )
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const css = `
:root{color-scheme:light dark;--page:#fcfcfb;--ink:#1a1a19;--soft:#5f5e5a;--line:#e3e2dd;--bar:#2a78d6;--range:#0f3a6e;--failed:#a33b12}
@media(prefers-color-scheme:dark){:root{--page:#1a1a19;--ink:#f4f3ef;--soft:#b0aea6;--line:#3a3936;--bar:#3987e5;--range:#cfe2fa;--failed:#f0986c}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 4px}
p{margin:4px 0}.host,.how{color:var(--soft);font-size:13px}
.notes{border-left:3px solid var(--failed);margin:16px 0;padding:2px 0 2px 28px;font-size:14px}
figure{margin:12px 0 0}svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
.ratio{display:grid;grid-template-columns:100px 1fr 44px 66px 172px;align-items:center;gap:0 10px;font-size:13px}
.name{font-weight:500;text-align:right}.value,.above{text-align:right;font-variant-numeric:tabular-nums}.verdict{color:var(--soft);font-size:12px}
.track{position:relative;height:34px;grid-column:2}.scale .track{height:18px;font-size:11px;color:var(--soft)}
.scale span{position:absolute;transform:translateX(-50%)}.track i{position:absolute;top:0;bottom:0}
.track .grid{border-left:1px solid var(--line)}.track .one{border-left:1.5px dashed var(--soft)}
.track .bar{left:0;top:9px;bottom:9px;background:var(--bar);border-radius:0 3px 3px 0}
.track .range{top:16px;bottom:16px;background:var(--range)}
.axis{stroke:var(--soft);stroke-width:1}.tick{fill:var(--soft);font-size:11px}svg .bar{fill:var(--bar)}
.outline{fill:none;stroke:var(--ink);stroke-width:1.25;opacity:.75}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;color:var(--soft)}
.legend span{display:inline-flex;align-items:center;gap:6px}
.legend i{display:inline-block;width:18px}.swatch{height:10px;background:var(--bar);border-radius:0 3px 3px 0}
.whisker{border-top:2px solid var(--range)}.dashed{border-top:2px dashed var(--soft)}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:20px 32px}
.panel{border-top:1px solid var(--line);padding-top:8px}.panel p{font-size:13px}.panel .how{font-size:12px}
.wide{overflow-x:auto;margin-top:12px}table{border-collapse:collapse;font-size:13px;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 8px 0;white-space:nowrap}th:first-child,.about td{text-align:left}
th:first-child{position:sticky;left:0;background:var(--page);padding-left:0}small{color:var(--soft);font-weight:400}
thead th{color:var(--soft);font-weight:500;padding-bottom:6px;border-bottom:1px solid var(--line)}
.about td{color:var(--soft);white-space:normal;padding:0 8px 6px 0;border-bottom:1px solid var(--line)}
.about div{position:sticky;left:0;max-width:min(820px,100vw - 48px)}
pre{font-size:12px;overflow-x:auto;max-height:480px;border:1px solid var(--line);padding:12px}
@media(max-width:640px){
.ratio{grid-template-columns:auto auto auto 1fr;gap:0 8px;padding-top:8px}.scale{padding-top:0}
.name{text-align:left}.verdict{text-align:right}
.track{grid-column:1/-1;grid-row:2;height:22px;margin:0 8px}.track .bar{top:4px;bottom:4px}.track .range{top:10px;bottom:10px}
.scale .track{grid-row:1}small{display:none}th,td{padding-left:6px;padding-right:6px}}
`
