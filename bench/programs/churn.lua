-- Tables, strings and closures that come and go; deterministic.
local seed = 7
local function rnd(n)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % n
end
local words, total = {}, 0
for turn = 1, 14 do
  local rows = {}
  for i = 1, 9000 do
    local key = "k" .. rnd(5000)
    rows[i] = { key = key, value = { i, rnd(100), key .. i }, f = function() return i end }
    words[key] = (words[key] or "") .. string.char(97 + rnd(26))
  end
  table.sort(rows, function(a, b) return a.value[3] < b.value[3] end)
  local parts = {}
  for i = 1, #rows do
    parts[#parts + 1] = rows[i].value[3]:rep(rnd(3) + 1, ",")
  end
  total = total + #table.concat(parts, ";")
end
print(total)
