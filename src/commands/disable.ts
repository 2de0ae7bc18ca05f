import { imageAction } from './image-action.ts'

export const disable = imageAction({
  name: 'disable',
  description: 'Hide an image from lists; it can still be fetched by its UUID',
  done: 'disabled',
})
