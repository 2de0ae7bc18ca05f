import fc from 'fast-check'

/** Random but the same in every run, so that a failure is one that anybody can repeat. */
fc.configureGlobal({ seed: 20_260_101 })

export { fc }
