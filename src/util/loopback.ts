/** Returns whether an address is that of the machine itself. */
export const isLoopback = (address: string) => address === '::1' || /^127(\.\d{1,3}){3}$/.test(address)
