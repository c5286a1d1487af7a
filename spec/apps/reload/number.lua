return { value = 0 }
