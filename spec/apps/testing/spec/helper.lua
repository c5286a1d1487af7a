-- A module of the specs' own: not one of the app's files.
return { key = "from the helper" }
