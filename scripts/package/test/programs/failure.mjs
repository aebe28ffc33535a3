// Prints what importing the package throws.
try {
  await import('vmexit')
  console.log(JSON.stringify({ message: 'nothing was thrown' }))
} catch ({ code, message }) {
  console.log(JSON.stringify({ code, message }))
}
