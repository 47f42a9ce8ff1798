local t = {}
for i = 1, 300000 do t[i] = ("row %d"):format(i) .. ("x"):rep(i % 50) end
local n = 0
for i, s in ipairs(t) do n = n + #s end
print(n)
for i = 1, #t, 3 do t[i] = nil end
collectgarbage()
local co = {}
for i = 1, 20000 do co[i] = coroutine.wrap(function(a) local b = coroutine.yield(a .. i) return b .. a end) end
local m = 0
for i = 1, #co do m = m + #co[i]("p") + #co[i]("q") end
print(m, #table.concat(t, "", 2, 3), ("ab"):rep(1000000):gsub("a", "cd"):len())
