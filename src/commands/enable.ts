import { imageAction } from './image-action.ts'

export const enable = imageAction({
  name: 'enable',
  description: 'Show a disabled image in lists again',
  done: 'enabled',
})
