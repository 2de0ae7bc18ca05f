import { imageAction } from './image-action.ts'

export const enable = imageAction({
  name: 'enable',
  description: 'Show a disabled image again',
  done: 'enabled',
})
