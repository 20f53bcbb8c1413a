"""Films made of still pictures: a camera moves over each, and one fades into the next."""
