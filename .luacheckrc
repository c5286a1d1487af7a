std = "luajit"
unused_args = false
max_line_length = 150
files["**/*_spec.lua"].std = "luajit+busted"
files["spec/"].std = "luajit+busted"
