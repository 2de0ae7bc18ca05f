import { imageAction } from './image-action.ts'

export const disable = imageAction({
  name: 'disable',
  description: 'Hide an image from lists; hosts that need it still get it',
  done: 'disabled',
})
