import { acl } from './acl.ts'
import { activate } from './activate.ts'
import { addFile } from './add-file.ts'
import { addIcon } from './add-icon.ts'
import { bundle } from './bundle.ts'
import { channelAdd } from './channel-add.ts'
import { channels } from './channels.ts'
import { check } from './check.ts'
import type { Command } from './command.ts'
import { completionFor } from './completion.ts'
import { create } from './create.ts'
import { deleteCommand } from './delete.ts'
import { disable } from './disable.ts'
import { enable } from './enable.ts'
import { gc } from './gc.ts'
import { get } from './get.ts'
import { getFile } from './get-file.ts'
import { importCommand } from './import.ts'
import { jobs } from './jobs.ts'
import { lint } from './lint.ts'
import { list } from './list.ts'
import { mirror } from './mirror.ts'
import { passwd } from './passwd.ts'
import { ping } from './ping.ts'
import { publish } from './publish.ts'
import { serve } from './serve.ts'
import { tree } from './tree.ts'
import { update } from './update.ts'

/** The commands, in the order in which help lists them. */
const ALL: readonly Command[] = [
  serve,
  check,
  gc,
  passwd,
  ping,
  list,
  get,
  getFile,
  tree,
  publish,
  lint,
  importCommand,
  jobs,
  mirror,
  bundle,
  create,
  addFile,
  addIcon,
  activate,
  update,
  enable,
  disable,
  deleteCommand,
  acl,
  channels,
  channelAdd,
  completionFor(() => COMMANDS),
]

export const COMMANDS: Record<string, Command> = Object.fromEntries(ALL.map(one => [one.meta.name, one]))
