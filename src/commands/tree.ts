import type { RemoteImage } from '../client/types.ts'
import { findCircles } from '../images/origins.ts'
import { EXIT, OperatorError } from '../util/operator-error.ts'
import { clientCommand } from './client-command.ts'
import { cellOf } from './columns.ts'
import { bold, dim } from './terminal.ts'
import { readUuid, uuidArg } from './uuid-arg.ts'

export const tree = clientCommand({
  meta: { name: 'tree', description: 'Show an image with its origins and children, or all images as trees' },
  args: { uuid: { ...uuidArg, required: false } },
  examples: ['imgapi tree 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b', 'imgapi tree'],
  async run({ uuid, json }, { client, print }) {
    const images = await client.listImages({ state: 'all' })
    const roots = uuid === undefined ? forest(images) : [branch(images, readUuid(uuid))]
    if (json) return print(uuid === undefined ? roots : roots[0])
    for (const root of roots) for (const line of render(root, uuid?.toLowerCase())) console.log(line)
  },
})

interface Node {
  uuid: string
  /** Absent for an origin that the server does not have or does not show to this user. */
  name?: string
  version?: string
  state?: string
  children: Node[]
}

type Index = Map<string | undefined, RemoteImage[]>

function childrenByOrigin(images: readonly RemoteImage[]): Index {
  const index: Index = new Map()
  for (const image of images) index.set(image.origin, [...(index.get(image.origin) ?? []), image])
  return index
}

/** Returns the image with its descendants. A cycle of origins is cut where it closes. */
function nodeOf(image: RemoteImage, index: Index, path: readonly string[] = []): Node {
  const { uuid, name, version, state } = image
  const ancestors = [...path, uuid]
  const children = (index.get(uuid) ?? []).filter(child => !ancestors.includes(child.uuid))
  return {
    uuid,
    name,
    version,
    ...(state !== undefined && { state }),
    children: children.map(child => nodeOf(child, index, ancestors)),
  }
}

/** Returns trees that contain each image once. The roots: images without an origin on the server, one of each cycle. */
function forest(images: readonly RemoteImage[]): Node[] {
  const index = childrenByOrigin(images)
  const known = new Set(images.map(({ uuid }) => uuid))
  const firsts = new Set(findCircles(images).map(([first]) => first))
  const isRoot = ({ uuid, origin }: RemoteImage) =>
    origin === undefined || !known.has(origin) || firsts.has(uuid)
  return images
    .filter(isRoot)
    .map(image => (firsts.has(image.uuid) ? nodeOf(image, index) : underOrigin(image, index)))
}

/** Puts an image under its origin, which the server does not have. */
const underOrigin = (image: RemoteImage, index: Index): Node =>
  image.origin === undefined ? nodeOf(image, index) : { uuid: image.origin, children: [nodeOf(image, index)] }

/** Returns the image with its descendants, below its chain of origins; without siblings. Throws OperatorError. */
function branch(images: readonly RemoteImage[], uuid: string): Node {
  const byUuid = new Map(images.map(image => [image.uuid, image]))
  const image = byUuid.get(uuid)
  if (!image)
    throw new OperatorError(
      `image ${uuid} not found; \`imgapi list state=all\` lists all images`,
      EXIT.notFound,
    )
  let node = nodeOf(image, childrenByOrigin(images))
  const seen = new Set([uuid])
  for (let { origin } = image; origin !== undefined && !seen.has(origin); ) {
    seen.add(origin)
    const parent = byUuid.get(origin)
    node = parent ? { ...nodeOf(parent, new Map()), children: [node] } : { uuid: origin, children: [node] }
    origin = parent?.origin
  }
  return node
}

function render(node: Node, highlighted: string | undefined, prefix = '', childPrefix = ''): string[] {
  const { uuid, name, version, state } = node
  const image = { uuid, name: name ?? '', version: version ?? '' }
  const label =
    name === undefined ? '(not on this server)' : `${cellOf(image, 'name')} ${cellOf(image, 'version')}`
  const pointer = uuid === highlighted ? ' ←' : ''
  const note = state !== undefined && state !== 'active' ? ` (${state})` : ''
  const line = `${prefix}${uuid === highlighted ? bold(label) : label}  ${dim(uuid)}${note}${pointer}`
  return [
    line,
    ...node.children.flatMap((child, index) => {
      const isLast = index === node.children.length - 1
      const [own, below] = isLast ? ['└─ ', '   '] : ['├─ ', '│  ']
      return render(child, highlighted, childPrefix + own, childPrefix + below)
    }),
  ]
}
