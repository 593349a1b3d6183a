/** The page of the signed-in person's own usage. */
export const MY_USAGE = "/me"
