import { basename, dirname } from 'node:path/posix'

import type { FileOperations, WrittenFile } from '../../src/store/operations.ts'

interface File {
  kind: 'file'
  content: string
  /** What is on the disk. */
  durable: string
}

interface Folder {
  kind: 'folder'
  entries: Map<string, Node>
  /** What was done since the names were on the disk. */
  pending: ((entries: Map<string, Node>) => void)[]
  durable: Map<string, Node>
}

type Node = File | Folder

/** What the disk does at an operation, by its number from 0 on. */
export type Fault = (operation: number, name: string) => NodeJS.ErrnoException | undefined

/** More than this, and not every way of losing operations is tried, but each prefix of them. */
const maxSubsets = 6

/**
 * A disk that does what POSIX promises, and not more. What is written to a file is on the disk when
 * the file was synced, and before that all, half or nothing of it is. Names are on the disk when
 * their folder was synced; before that, any of the operations may be.
 */
export class ModelDisk implements FileOperations {
  readonly #root: Folder
  #fault: Fault = () => undefined
  #operations = 0

  /** An empty one, or one of these folders. */
  constructor(root: Folder = newFolder()) {
    this.#root = root
  }

  /** From now on operations are counted, and fail as it says. */
  arm(fault: Fault): void {
    this.#fault = fault
    this.#operations = 0
  }

  /** How many operations there were since. */
  get operations(): number {
    return this.#operations
  }

  /** Every disk that there may be after a loss of power. */
  survivors(): ModelDisk[] {
    return statesOf(this.#root).map((root) => new ModelDisk(root as Folder))
  }

  /** The paths of all that is there. */
  paths(): string[] {
    const walk = (folder: Folder, path: string): string[] =>
      [...folder.entries].flatMap(([name, node]) => [
        `${path}/${name}`,
        ...(node.kind === 'folder' ? walk(node, `${path}/${name}`) : []),
      ])
    return walk(this.#root, '').toSorted()
  }

  async makeFolder(path: string): Promise<void> {
    this.#step('makeFolder')
    if (!this.#find(path)) this.#set(path, newFolder())
  }

  async create(path: string): Promise<WrittenFile> {
    this.#step('create')
    const found = this.#find(path)
    const file: File = found?.kind === 'file' ? found : { kind: 'file', content: '', durable: '' }
    file.content = ''
    if (!found) this.#set(path, file)
    return {
      write: async (text) => {
        const failure = this.#fails('write')
        // Of what does not fit, a part is there.
        file.content += failure ? text.slice(0, text.length / 2) : text
        if (failure) throw failure
      },
      sync: async () => {
        this.#step('sync')
        file.durable = file.content
      },
      close: async () => this.#step('close'),
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step('rename')
    const node = this.#find(from)
    if (!node) throw errno('ENOENT')
    const old = this.#find(to)
    if (old?.kind === 'folder' && old.entries.size > 0) throw errno('ENOTEMPTY')
    this.#change(dirname(from), (entries) => {
      entries.delete(basename(from))
      entries.set(basename(to), node)
    })
  }

  async mark(path: string): Promise<void> {
    throw errno(`EPERM for ${path}`)
  }

  async readMark(): Promise<undefined> {
    return undefined
  }

  async unlink(path: string): Promise<void> {
    this.#step('unlink')
    if (this.#find(path)) this.#change(dirname(path), (entries) => entries.delete(basename(path)))
  }

  async removeTree(path: string): Promise<void> {
    const node = this.#find(path)
    if (!node) return this.#step('removeTree')
    if (node.kind === 'folder')
      for (const name of node.entries.keys()) await this.removeTree(`${path}/${name}`)
    this.#step('removeTree')
    this.#change(dirname(path), (entries) => entries.delete(basename(path)))
  }

  async sync(path: string): Promise<void> {
    this.#step('sync')
    const node = this.#find(path)
    if (!node) throw errno('ENOENT')
    if (node.kind === 'file') node.durable = node.content
    else {
      node.durable = new Map(node.entries)
      node.pending = []
    }
  }

  async list(path: string): Promise<readonly string[]> {
    const node = this.#find(path)
    return node?.kind === 'folder' ? [...node.entries.keys()].toSorted() : []
  }

  async read(path: string): Promise<string | undefined> {
    const node = this.#find(path)
    return node?.kind === 'file' ? node.content : undefined
  }

  async status(path: string) {
    const node = this.#find(path)
    if (!node) return undefined
    return { kind: node.kind, bytes: node.kind === 'file' ? node.content.length : 0 }
  }

  #fails(name: string): NodeJS.ErrnoException | undefined {
    return this.#fault(this.#operations++, name)
  }

  #step(name: string): void {
    const failure = this.#fails(name)
    if (failure) throw failure
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root
    for (const name of path.split('/').filter(Boolean))
      node = node?.kind === 'folder' ? node.entries.get(name) : undefined
    return node
  }

  #set(path: string, node: Node): void {
    this.#change(dirname(path), (entries) => entries.set(basename(path), node))
  }

  #change(folder: string, act: (entries: Map<string, Node>) => void): void {
    const node = this.#find(folder)
    if (node?.kind !== 'folder') throw errno('ENOENT')
    act(node.entries)
    node.pending.push(act)
  }
}

function newFolder(): Folder {
  return { kind: 'folder', entries: new Map(), pending: [], durable: new Map() }
}

/** An error as the file system gives it. */
export function errno(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected`), { code })
}

/** All that may be left of a file or folder. */
function statesOf(node: Node): Node[] {
  if (node.kind === 'file') {
    const { content, durable } = node
    const contents = new Set([durable, content, content.slice(0, content.length / 2), ''])
    const left = content === durable ? [durable] : [...contents]
    return left.map((each) => ({ kind: 'file', content: each, durable: each }))
  }
  return subsetsOf(node.pending).flatMap((happened) => {
    const entries = new Map(node.durable)
    for (const act of happened) act(entries)
    return productOf([...entries]).map((each): Folder => ({
      kind: 'folder',
      entries: new Map(each),
      pending: [],
      durable: new Map(each),
    }))
  })
}

function subsetsOf<T>(all: readonly T[]): T[][] {
  if (all.length > maxSubsets) return [...all, undefined].map((_, count) => all.slice(0, count))
  return Array.from({ length: 2 ** all.length }, (_, bits) =>
    all.filter((_each, index) => (bits >> index) & 1),
  )
}

/** Each entry in each of its states. */
function productOf(entries: readonly [string, Node][]): [string, Node][][] {
  const [first, ...rest] = entries
  if (!first) return [[]]
  const others = productOf(rest)
  return statesOf(first[1]).flatMap((state) =>
    others.map((other): [string, Node][] => [[first[0], state], ...other]),
  )
}
