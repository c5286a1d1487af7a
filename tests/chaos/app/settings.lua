-- Another one is put in its place for `tests/chaos/run --group`.
return {}
