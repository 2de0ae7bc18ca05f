import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestOf } from './layers.ts'
import { temporaryFolder } from './server.ts'
import { describeTree } from './trees.ts'

/** Writes an image layout (OCI image specification) with one image, named `latest`, of layers that are plain tar. */
function ociLayout(folder: string, layers: readonly Buffer[]) {
  const blobs = join(folder, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  const add = (mediaType: string, bytes: Buffer) => {
    const digest = digestOf(bytes)
    writeFileSync(join(blobs, digest.slice('sha256:'.length)), bytes)
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest, size: bytes.length }
  }
  const json = (value: object) => Buffer.from(JSON.stringify(value))
  const config = {
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
    history: layers.map(() => ({ created_by: 'test' })),
  }
  const manifest = {
    schemaVersion: 2,
    config: add('config.v1+json', json(config)),
    layers: layers.map(layer => add('layer.v1.tar', layer)),
  }
  const named = {
    ...add('manifest.v1+json', json(manifest)),
    annotations: { 'org.opencontainers.image.ref.name': 'latest' },
  }
  writeFileSync(join(folder, 'index.json'), json({ schemaVersion: 2, manifests: [named] }))
  writeFileSync(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
}

/** The tree that umoci makes of layers, or its reason for not making one. */
export function unpackWithUmoci(layers: readonly Buffer[]): Record<string, string> | string {
  const folder = temporaryFolder()
  ociLayout(join(folder, 'layout'), layers)
  const bundle = join(folder, 'bundle')
  const args = ['unpack', '--rootless', '--image', join(folder, 'layout'), bundle]
  const { status, stderr } = spawnSync('umoci', args, { encoding: 'utf8' })
  return status === 0 ? describeTree(join(bundle, 'rootfs')) : stderr.trim().split('\n').at(-1)!
}
