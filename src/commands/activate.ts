import { imageAction } from './image-action.ts'

export const activate = imageAction({
  name: 'activate',
  description: 'Make an image visible; its file can no longer change',
  done: 'activated',
})
