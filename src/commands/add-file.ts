import { describeFile, inspectFile, sendFile } from '../client/send-file.ts'
import { COMPRESSIONS } from '../images/fields.ts'
import type { Compression } from '../images/image.ts'
import { UsageError } from '../util/operator-error.ts'
import { clientCommand } from './client-command.ts'
import { readUuid, uuidArg } from './uuid-arg.ts'

export const addFile = clientCommand({
  meta: { name: 'add-file', description: 'Upload the file of an image that is not active yet' },
  args: {
    uuid: uuidArg,
    file: { type: 'string', alias: 'f', valueHint: 'FILE', description: 'the image file', complete: 'file' },
    compression: {
      type: 'string',
      valueHint: COMPRESSIONS.join('|'),
      description: 'compression of the file (default: detected from its first bytes)',
      complete: COMPRESSIONS,
    },
    index: {
      type: 'string',
      valueHint: 'N',
      description: 'which file: 1 is the second one of an image of type lxd (default: 0)',
    },
  },
  examples: ['imgapi add-file 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b -f my-image-1.0.0.zfs.gz'],
  async run({ uuid, file: path, compression, index, json }, { client, progress, signal, print, say }) {
    if (path === undefined) throw new UsageError('name the file with -f FILE')
    if (compression !== undefined && !(COMPRESSIONS as readonly string[]).includes(compression)) {
      throw new UsageError(`--compression: expected one of ${COMPRESSIONS.join(', ')}`)
    }
    const { size } = await describeFile(path)
    // Fail early, before gigabytes are sent, if the image does not exist or may not be changed.
    const { uuid: id, name, version } = await client.getImage(readUuid(uuid))
    const reading = progress.start(path, 'reading', size)
    const file = await inspectFile(path, { onProgress: reading.update, signal })
    reading.finish('read')
    const sending = progress.start(path, 'sending', size)
    const labelled = { ...file, compression: (compression as Compression | undefined) ?? file.compression }
    const image = await sendFile(client, id, labelled, { onProgress: sending.update, index }).catch(error => {
      sending.fail()
      throw error
    })
    sending.finish('sent')
    if (json) return print(image)
    say(`added ${path} to ${id} (${name} ${version}): ${size} bytes, SHA-1 ${file.sha1}`)
    if (image.state === 'unactivated') say(`  imgapi activate ${id}`)
  },
})
