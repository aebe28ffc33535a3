// A package registry on the loopback device that takes and gives what npm sends and asks: a release can be published to
// it and installed from it as its users will, without publishing anything.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'

/**
 * `{ url, options, tarballs, add }`: npm's options to publish to it, the published bytes by package name, and what takes
 * in a package of others as it is installed here.
 */
export async function openRegistry() {
  const documents = new Map()
  const tarballs = new Map()

  function publish(name, { _attachments: attachments, ...document }) {
    documents.set(name, document)
    const [{ data }] = Object.values(attachments)
    tarballs.set(name, Buffer.from(data, 'base64'))
  }

  async function answer(request, response) {
    const [name, ...rest] = decodeURIComponent(
      new URL(request.url, 'http://x').pathname.slice(1),
    ).split('/-/')
    if (request.method === 'PUT') {
      publish(name, JSON.parse(await bodyOf(request)))
      response.writeHead(201).end('{}')
    } else if (rest.length > 0 && tarballs.has(name)) response.end(tarballs.get(name))
    else if (rest.length === 0 && documents.has(name))
      response.end(JSON.stringify(documents.get(name)))
    else response.writeHead(404).end('{}')
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.destroy(error))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  // It ends with this process.
  server.unref()
  const host = `127.0.0.1:${server.address().port}`
  return {
    url: `http://${host}/`,
    // npm publishes nothing without a token, whatever it says.
    options: [`--registry=http://${host}/`, `--//${host}/:_authToken=any`],
    tarballs,
    add(manifest, tarball) {
      const { name, version } = manifest
      const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
      const dist = { tarball: `http://${host}/${name}/-/${version}.tgz`, integrity }
      tarballs.set(name, tarball)
      documents.set(name, {
        name,
        'dist-tags': { latest: version },
        versions: { [version]: { ...manifest, dist } },
      })
    },
  }
}

async function bodyOf(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
