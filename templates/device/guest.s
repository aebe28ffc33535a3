# The guest: hands a text in its memory to the device, sleeps until the device interrupts, and
# prints what the device has made of the text.

        .equ TEXT, 0x300                # the device's registers, see device.mjs
        .equ LENGTH, 0x302
        .equ COMMAND, 0x304
        .equ STATUS, 0x306
        .equ UPPERCASE, 1

        .equ CONSOLE, 0xe9
        .equ STOP, 0xf4
        .equ PIC_COMMAND, 0x20
        .equ PIC_DATA, 0x21
        .equ FIRST_VECTOR, 0x20         # line 0 of the interrupt controller is this vector
        .equ LINE, 5

start:  cld
        xor ax, ax
        mov ds, ax
        mov word ptr [(FIRST_VECTOR + LINE) * 4], offset interrupted
        mov word ptr [(FIRST_VECTOR + LINE) * 4 + 2], cs

        mov al, 0x11                    # the controller is set up by four words
        out PIC_COMMAND, al
        mov al, FIRST_VECTOR
        out PIC_DATA, al
        mov al, 4
        out PIC_DATA, al
        mov al, 1
        out PIC_DATA, al
        mov al, ~(1 << LINE) & 0xff     # and of the lines only ours is let through
        out PIC_DATA, al

        mov dx, TEXT
        mov ax, offset text
        out dx, ax
        mov dx, LENGTH
        mov ax, offset text_bytes
        out dx, ax
        mov dx, COMMAND
        mov ax, UPPERCASE
        out dx, ax                      # from here on the device works, and so could we

wait:   cli
        cmp byte ptr [status], 0
        jne print
        sti                             # takes effect after the next instruction, so that no
        hlt                             # interrupt comes in between
        jmp wait

print:  mov si, offset text
        mov cx, offset text_bytes
1:      lodsb
        out CONSOLE, al
        loop 1b
        mov al, [status]
        out STOP, al                    # how the run ends: 1 is done, 2 failed

interrupted:
        push ax
        push dx
        mov dx, STATUS                  # the device lowers its line
        in ax, dx
        mov byte ptr [status], al
        mov al, 0x20                    # the end of this interrupt
        out PIC_COMMAND, al
        pop dx
        pop ax
        iret

status:
        .byte 0
text:   .ascii "a text in the guest's memory\n"
        .equ text_bytes, . - text
