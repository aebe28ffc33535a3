// Two hundred machines that run: the page lists all of them, and has time for its user.
import { Browser, browserTest } from './helpers/browser.ts'
import { machine } from './helpers/guests.ts'
import { HttpDaemon } from './helpers/http-daemon.ts'

const count = 200
/** Starts that are under way at once. */
const together = 10

const rows = (more = ''): string => `document.querySelectorAll('#machines li${more}').length`
const running = rows('[data-state=running]')
const shown = rows(':not([hidden])')

/** What kept the page busy for over 50 ms at once, in some seconds: how often, how long in ms. */
const longTasks = (seconds: number): string => `new Promise((done) => {
  const found = []
  const observer = new PerformanceObserver((list) => found.push(...list.getEntries()))
  observer.observe({ type: 'longtask' })
  setTimeout(() => {
    observer.disconnect()
    const times = found.map(({ duration }) => Math.round(duration))
    done([times.length, Math.max(0, ...times), times.reduce((sum, each) => sum + each, 0)])
  }, ${seconds * 1000})
})`

browserTest('two hundred machines are listed, searched and kept up to date', async (t) => {
  t.timeout(300_000)
  const daemon = await HttpDaemon.start(t, '0')
  const { client } = daemon
  const browser = await Browser.open(t, daemon.web)
  const { page } = browser
  const names = Array.from({ length: count }, (_, at) => `m-${String(at).padStart(3, '0')}`)
  const settings = { memoryBytes: 2 ** 21, manager: { group: 'all' } }
  for (let at = 0; at < count; at += together)
    await Promise.all(
      names.slice(at, at + together).map(async (name) => {
        await client.define(machine(name, 'wait', settings))
        await client.start(name)
      }),
    )
  await browser.until(t, `${rows()} === ${count} && ${running} === ${count}`)
  // What they do is shown for all: it comes by one message a second.
  await browser.until(
    t,
    `[...document.querySelectorAll('#machines li .number:nth-of-type(3)')]
      .filter(({ textContent }) => textContent !== '').length === ${count}`,
  )
  const [times, longest, sum] = (await page.evaluate(longTasks(5))) as [number, number, number]
  t.log(`in 5 s ${times} tasks of over 50 ms, ${longest} ms the longest, ${sum} ms in all`)
  const search = async (words: string): Promise<void> => {
    await page.evaluate(`{
      const search = document.getElementById('search')
      search.value = ${JSON.stringify(words)}
      search.dispatchEvent(new Event('input'))
    }`)
  }
  await search('m-1 running')
  await browser.until(t, `${shown} === 100`)
  await search('m-12')
  await browser.until(t, `${shown} === 10`)
  await client.kill('m-123')
  await browser.until(t, `document.querySelector('#machines li:not([data-state=running])')`)
  await search('')
  await browser.until(t, `${shown} === ${count} && ${running} === ${count - 1}`)
  // The end of their process is the end of all of them.
  process.kill((await client.find('m-000')).pid!, 'SIGKILL')
  await browser.until(t, `${running} === 0`)
  t.deepEqual(browser.said, [])
})
